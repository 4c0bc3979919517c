//! livestack

pub mod backend;
pub mod error;
pub mod frame;
pub mod kernels;
pub mod rules;
pub mod timing;
