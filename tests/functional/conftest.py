from hypothesis import settings

# The first example pays for imports and a busy machine for everything else: time is no fault here.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
