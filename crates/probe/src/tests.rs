//! Mocks of known character must land where they belong, in every probe.
