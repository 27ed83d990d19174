"""For tools that do not read setup.cfg."""

from setuptools import setup

setup()
