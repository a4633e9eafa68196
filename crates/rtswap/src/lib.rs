//! Swap the async runtime under an unchanged program, and measure what the swap buys.
