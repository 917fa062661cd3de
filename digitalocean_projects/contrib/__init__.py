"""What takes a package more than the client itself: an optional extra for each module."""
