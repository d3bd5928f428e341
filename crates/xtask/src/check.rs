//! `cargo xtask check`: the layout of `docs/ARCHITECTURE.md`, held by a machine.

use anyhow::bail;

use crate::{arrows, wasm};

/// Reports every broken arrow at once, then builds the portable crates for wasm32.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut violations = arrows::violations(&arrows::workspace()?, arrows::ALLOWED);
    for package in arrows::PORTABLE {
        let tree = wasm::dependency_tree(package)?;
        violations.extend(arrows::banned_paths(&tree, package, arrows::BANNED_IN_PORTABLE));
    }
    if !violations.is_empty() {
        for violation in &violations {
            eprintln!("  {violation}");
        }
        bail!("{} arrow(s) between crates break the drawing in docs/ARCHITECTURE.md", violations.len());
    }
    println!("the arrows between crates are as drawn");

    wasm::ensure_target()?;
    wasm::build(arrows::PORTABLE, &[])?;
    wasm::build(&["sayiir-core"], &["sayiir-core/rkyv"])?;
    println!("{} build for {}", arrows::PORTABLE.join(", "), wasm::TARGET);
    Ok(())
}
