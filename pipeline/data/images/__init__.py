"""Images: found, opened safely, decoded and cached."""
