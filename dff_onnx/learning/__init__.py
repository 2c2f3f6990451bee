"""Linear classifiers on deep features: a support vector machine's weights become a `LinearHead`. Needs scikit-learn."""
