//! A part of a world that copies of the world share until one of them changes it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Reads like the part itself, and is copied when it is first changed.
#[derive(Clone, Debug, Hash)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    pub fn new(part: T) -> Self {
        Self(Arc::new(part))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}
