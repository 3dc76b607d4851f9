"""What a search leaves for people to look at: figures, and one page with all of them."""
