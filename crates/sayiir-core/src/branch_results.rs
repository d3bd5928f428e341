//! The outputs of a fork's branches as a join task can take them: names and payloads, not decoded.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What each branch of a fork handed on, by branch name, in the fork's order.
///
/// A registered join task may take it as its input.
///
/// ```
/// use sayiir_core::branch_results::NamedBranchResults;
///
/// let results = NamedBranchResults::new(vec![("price".to_owned(), "15".into())]);
/// assert_eq!(results.len(), 1);
/// assert_eq!(results.into_map()["price"], "15");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "rkyv", derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize))]
#[serde(transparent)]
pub struct NamedBranchResults(Vec<(String, Bytes)>);

impl NamedBranchResults {
    /// These names and payloads.
    pub const fn new(results: Vec<(String, Bytes)>) -> Self {
        Self(results)
    }

    /// How many branches there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no branch.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and payloads, in the fork's order.
    pub fn as_slice(&self) -> &[(String, Bytes)] {
        &self.0
    }

    /// Names and payloads, in the fork's order.
    pub fn into_vec(self) -> Vec<(String, Bytes)> {
        self.0
    }

    /// Payloads by name.
    pub fn into_map(self) -> HashMap<String, Bytes> {
        self.0.into_iter().collect()
    }

    /// The payload of one branch.
    pub fn get(&self, branch: &str) -> Option<&Bytes> {
        self.0.iter().find(|(name, _)| name == branch).map(|(_, payload)| payload)
    }
}

impl FromIterator<(String, Bytes)> for NamedBranchResults {
    fn from_iter<I: IntoIterator<Item = (String, Bytes)>>(results: I) -> Self {
        Self(results.into_iter().collect())
    }
}

impl IntoIterator for NamedBranchResults {
    type Item = (String, Bytes);
    type IntoIter = std::vec::IntoIter<(String, Bytes)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
