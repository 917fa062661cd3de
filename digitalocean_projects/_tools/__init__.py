"""What is run while the package is developed."""
