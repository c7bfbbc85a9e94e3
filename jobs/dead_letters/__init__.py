"""What died: how it is stored and grouped, and what people may do about it."""
