//! Run one untrusted program in a disposable, isolated place.
