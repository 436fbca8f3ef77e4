"""Differentiable architecture search: FBNet, DARTS and ProxylessNAS over one supernet."""
