"""What is asked, searched, recorded and summarised."""
