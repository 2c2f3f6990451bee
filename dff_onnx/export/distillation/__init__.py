"""A small backbone learns the features of larger ones, from photographs without labels. The training needs PyTorch."""
