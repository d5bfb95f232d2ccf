"""How many random sequences are compared: few in every run, more with ``--hypothesis-profile=thousands``."""

from hypothesis import HealthCheck, settings

_common = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    "print_blob": True,
}
settings.register_profile("few", max_examples=100, **_common)
settings.register_profile("thousands", max_examples=5000, **_common)
settings.load_profile("few")
