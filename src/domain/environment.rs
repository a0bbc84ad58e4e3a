//! What the hub's data are worth: a demonstration, a test, or people's real records. There is no default.

use serde::{Deserialize, Serialize};

/// The environment; part of the checkpoint's origin, of each receipt and of a command's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Invented people, development certificates.
    Demo,
    /// Invented people, an agency's own certificates.
    Test,
    /// Real people. A development CA and another environment's store are refused.
    Production,
}

impl Environment {
    /// The word used everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Test => "test",
            Self::Production => "production",
        }
    }
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Environment {
    type Err = UnknownEnvironment;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Demo, Self::Test, Self::Production]
            .into_iter()
            .find(|environment| environment.as_str() == text)
            .ok_or(UnknownEnvironment)
    }
}

/// Neither demo, test nor production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("environment is one of demo, test, production")]
pub struct UnknownEnvironment;
