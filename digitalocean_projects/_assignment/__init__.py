"""Assignment: moves resources into projects, and reports the outcome for each."""
