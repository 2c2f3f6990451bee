"""Descriptors of pictures and of their parts, exact ranking, and where in a picture the query is. Pure."""
