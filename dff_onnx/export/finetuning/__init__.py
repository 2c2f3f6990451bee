"""A network with a new, pooled end learns classes from folders of photographs. The training needs PyTorch."""
