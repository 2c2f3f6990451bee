"""Class maps: what they are made of, their boxes, and the guesses they give. Pure."""
