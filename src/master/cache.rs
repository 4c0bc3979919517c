//! Where ready masters are kept, so that a second start need not read the frames again.
