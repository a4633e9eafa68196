//! Tables, exports and the spliced README.
