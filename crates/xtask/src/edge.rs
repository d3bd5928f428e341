//! `cargo xtask edge`: what is below `bindings/`, from a clean clone to passed tests. What is up to date is not done again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;

use crate::{shell, wasm};

/// The crate that becomes WebAssembly, and the name of its files.
const CRATE: &str = "sayiir-cloudflare";
const FILE: &str = "sayiir_cloudflare";

/// The profile of the root manifest that is made for small WebAssembly.
const PROFILE: &str = "edge";

/// The oldest Node on which the packages are tested.
const NODE: u32 = 20;

/// What the module may weigh, in bytes as gzip.
const MOST_GZIPPED: u64 = 400 << 10;

/// Names the browser of the tests.
const BROWSER: &str = "CHROMIUM";

/// Where browsers are.
const BROWSERS: &[&str] = &[
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// What rustc's output may use, as every workerd can.
const WASM_FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Which parts are done.
#[derive(Args)]
pub(crate) struct EdgeArgs {
    /// Leave the WebAssembly as it is
    #[arg(long)]
    skip_wasm: bool,
    /// Stop when all is built
    #[arg(long)]
    skip_tests: bool,
}

/// The step of CI: everything.
pub(crate) fn check() -> anyhow::Result<()> {
    run(&EdgeArgs { skip_wasm: false, skip_tests: false })
}

/// Installs, builds and tests the npm packages.
pub(crate) fn run(args: &EdgeArgs) -> anyhow::Result<()> {
    let EdgeArgs { skip_wasm, skip_tests } = args;
    node_is_there()?;
    install()?;
    if !skip_wasm {
        lint_wasm()?;
        build_wasm()?;
        weigh()?;
    }
    shell::run(npm().args(["run", "build", "--silent"]))?;
    if *skip_tests {
        return Ok(());
    }
    let browser = browser()?;
    shell::run(npm().args(["test", "--silent"]).env(BROWSER, browser))?;
    conformance()
}

/// The suite of all stores, on D1 and on Durable Objects of the real workerd.
fn conformance() -> anyhow::Result<()> {
    const TEST: &[&str] = &["--package", CRATE, "--test", "workerd"];
    shell::run(shell::cargo().args(["clippy", "--quiet", "--no-deps"]).args(TEST).args(["--", "-D", "warnings"]))?;
    // Built before, for what is run is ended when it takes too long.
    shell::run(shell::cargo().args(["test", "--no-run", "--quiet"]).args(TEST))?;
    let mut command = Command::new("node");
    command.arg(bindings().join("cloudflare/workerd/run.mjs")).arg(shell::cargo().get_program()).args(["test", "--quiet"]).args(TEST);
    shell::run(&mut command).context("the store does not pass the suite on workerd")
}

/// The browser for the tests of the example's page. Debian's is installed where none is there: those tests are never left out.
pub(crate) fn browser() -> anyhow::Result<PathBuf> {
    const HOW_TO_INSTALL: &str = "the example's page is tested in a real browser: install Chromium or Chrome (Debian: apt-get install \
                                  chromium), or name its program in the environment variable CHROMIUM";
    if let Some(named) = std::env::var_os(BROWSER).filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("{BROWSER} names {}, which is no file; {HOW_TO_INSTALL}", named.display());
        }
        return Ok(named);
    }
    let there = || BROWSERS.iter().map(PathBuf::from).find(|browser| browser.is_file());
    if let Some(browser) = there() {
        return Ok(browser);
    }
    println!("    a browser is missing: installing Chromium");
    shell::apt_install("chromium").context(HOW_TO_INSTALL)?;
    there().with_context(|| format!("Chromium was installed, but its program is not found; {HOW_TO_INSTALL}"))
}

fn bindings() -> PathBuf {
    shell::root().join("bindings")
}

fn npm() -> Command {
    let mut command = Command::new("npm");
    command.current_dir(bindings());
    command
}

fn node_is_there() -> anyhow::Result<()> {
    let version = shell::output(Command::new("node").arg("--version"))
        .with_context(|| format!("the packages below bindings/ need Node {NODE} or newer with npm on PATH (https://nodejs.org)"))?;
    if major(&version).is_none_or(|major| major < NODE) {
        bail!("the packages below bindings/ need Node {NODE} or newer, not {}", version.trim());
    }
    Ok(())
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// `npm ci`, unless what is installed was installed from this very lock.
fn install() -> anyhow::Result<()> {
    let lock = fs::read(bindings().join("package-lock.json")).context("bindings/package-lock.json is part of the repository")?;
    let installed = bindings().join("node_modules/.installed-from");
    if fs::read(&installed).is_ok_and(|from| from == lock) {
        return Ok(());
    }
    shell::run(npm().args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"])).context("could not install the npm packages")?;
    fs::write(&installed, lock).with_context(|| format!("could not write {}", installed.display()))
}

/// Lints what only WebAssembly has, which the lints of the workspace do not see.
fn lint_wasm() -> anyhow::Result<()> {
    wasm::ensure_target()?;
    let mut clippy = shell::cargo();
    clippy.args(["clippy", "--quiet", "--package", CRATE, "--no-deps", "--lib", "--target", wasm::TARGET, "--", "-D", "warnings"]);
    // What is shared is `Send` where there are threads; here there are none.
    shell::run(clippy.args(["-A", "clippy::arc_with_non_send_sync"]))
}

/// From the crate to `bindings/cloudflare/pkg`.
fn build_wasm() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["build", "--package", CRATE, "--lib", "--target", wasm::TARGET, "--profile", PROFILE]))?;

    let built = target().join(wasm::TARGET).join(PROFILE).join(format!("{FILE}.wasm"));
    let bytes = fs::read(&built).with_context(|| format!("{} was to be built", built.display()))?;
    let package = bindings().join("cloudflare/pkg");
    let from = target().join(PROFILE).join("packed-from.wasm");
    let module = package.join(format!("{FILE}_bg.wasm"));
    if module.is_file() && fs::read(&from).is_ok_and(|from| from == bytes) {
        return Ok(());
    }

    bindgen_is_there()?;
    shell::run(Command::new("wasm-bindgen").args(["--target", "web", "--out-dir"]).arg(&package).arg(&built))?;
    shrink(&module)?;
    println!("    {FILE}: {} built, {} packed", kib(bytes.len() as u64), kib(fs::metadata(&module)?.len()));
    fs::create_dir_all(target().join(PROFILE))?;
    fs::write(&from, bytes).with_context(|| format!("could not write {}", from.display()))
}

/// Tells what the module weighs, and refuses what is too much.
fn weigh() -> anyhow::Result<()> {
    let module = bindings().join("cloudflare/pkg").join(format!("{FILE}_bg.wasm"));
    let mut command = Command::new("node");
    shell::run(command.arg(bindings().join("scripts/size.mjs")).arg(module).arg(MOST_GZIPPED.to_string()))
}

/// No object has an address below 1024: there is the far end of the stack, for the linker puts data behind it.
fn shrink(module: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(bindings().join("node_modules/.bin/wasm-opt"));
    shell::run(command.args(WASM_FEATURES).args(["-Oz", "--converge", "--low-memory-unused", "--output"]).arg(module).arg(module))
}

/// Installs the `wasm-bindgen` of the version in `Cargo.lock`: no other understands what the crate was built with.
fn bindgen_is_there() -> anyhow::Result<()> {
    let lock = fs::read_to_string(shell::root().join("Cargo.lock")).context("Cargo.lock is part of the repository")?;
    let version = locked_version(&lock, "wasm-bindgen").context("Cargo.lock has no wasm-bindgen")?;
    let installed = || {
        let mut command = Command::new("wasm-bindgen");
        command.arg("--version");
        command
    };
    // A command of its own for each: what is looked at once prints nothing afterwards.
    if shell::works(&mut installed()) && shell::output(&mut installed())?.trim() == format!("wasm-bindgen {version}") {
        return Ok(());
    }
    println!("    wasm-bindgen {version} is missing: building it takes some minutes");
    shell::run(shell::cargo().args(["install", "wasm-bindgen-cli", "--version", version, "--quiet"]))
        .with_context(|| format!("wasm-bindgen {version} is missing and could not be installed from crates.io"))
}

fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    after.split('"').next()
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), |target| shell::root().join(target))
}

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_that_of_the_very_package() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.9\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20"), None);
    }
}
