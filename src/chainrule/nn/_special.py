"""The two special functions activations need.  The only place of ``nn`` that says where they come from."""

from scipy.special import erfc  # type: ignore[import-untyped]

from chainrule.ops.pointwise import sigmoid as expit

__all__ = ["erfc", "expit"]
