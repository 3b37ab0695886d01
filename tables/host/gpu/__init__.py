"""GPUs: which process uses which, by NVIDIA's library, AMD's KFD, and what DRM drivers say of each open file."""
