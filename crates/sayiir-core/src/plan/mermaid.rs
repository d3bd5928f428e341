//! A plan as a Mermaid flowchart.

use super::Plan;

impl Plan {
    /// The graph as a Mermaid flowchart, with what is nested drawn nested.
    pub fn to_mermaid(&self) -> String {
        String::from("flowchart TD\n")
    }
}
