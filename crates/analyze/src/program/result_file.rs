//! The file that the result is written to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exposure_schema::Exposure;

/// The folder in which runs leave their captures.
pub(crate) const RUN_FOLDER: &str = "captures";

/// The result of the latest run, on which `report` reports.
const RUN_RESULT: &str = "analysis/exposure.json";

/// The file for a result that no flag names: the run's, if every path is in the run's folder. An analysis of anything else
/// must not replace the result of the run.
pub(crate) fn of_run(paths: &[PathBuf]) -> Option<PathBuf> {
    let run_folder = Path::new(RUN_FOLDER).canonicalize().ok()?;
    let is_in_it = |path: &PathBuf| path.canonicalize().is_ok_and(|path| path.starts_with(&run_folder));
    paths.iter().all(is_in_it).then(|| PathBuf::from(RUN_RESULT))
}

/// Writes to a temporary file first, so that an earlier result stays intact until the new one is complete.
pub(crate) fn write(path: &Path, exposure: &Exposure) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory).with_context(what)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)
        .map_err(|error| error.kind())
        .map_err(std::io::Error::from)
        .with_context(what)?;
    exposure.write(&mut file).with_context(what)?;
    file.persist(path).map_err(|error| error.error).with_context(what)?;
    Ok(())
}
