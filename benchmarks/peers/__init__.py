"""The same job on other engines, each as its authors would write it."""
