"""What setup.py builds the compiled modules with: objects kept between builds, and CUDA's tools."""
