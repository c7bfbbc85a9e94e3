"""`make demo`: a tour of the product in the embedded profile, told as it happens."""
