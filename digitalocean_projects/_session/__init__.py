"""Session: takes a request to its response, within the limits, with retries."""
