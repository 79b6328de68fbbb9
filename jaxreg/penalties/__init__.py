"""The penalties, one family per file."""
