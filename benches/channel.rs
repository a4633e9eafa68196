//! A message from task to task and its answer.

include!("start.rs");
