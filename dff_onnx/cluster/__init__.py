"""Runs on the machines of a Dask cluster; pictures and results wherever fsspec reaches."""
