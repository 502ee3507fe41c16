//! Makes images with one program each.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use bollard::body_full;
use bollard::query_parameters::CreateImageOptionsBuilder;
use data_encoding::HEXLOWER;
use futures_util::TryStreamExt;
use tokio::sync::Mutex;

use super::status;
use crate::{Error, elf};

/// The name of all these images; the tag is a hash of the content.
const REPOSITORY: &str = "plainsight-box";

/// Part of the hash in the tag, so that another layout of the image has another tag.
const LAYOUT: &[u8] = b"1: /program/NAME and /tmp\0";

/// Largest program of an image in bytes: it is held in memory while it is sent to the engine.
const MAX_PROGRAM: u64 = 512 << 20;

/// Images that the engine is known to have.
#[derive(Debug, Default)]
pub(super) struct Images(Mutex<HashMap<Key, String>>);

/// Identifies a version of a program file.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    changed_ns: i128,
}

impl Key {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        Self {
            path: path.into(),
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed_ns: i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        }
    }
}

impl Images {
    /// The image of a program of this machine and the program's path in it. Makes the image if the engine does not have it.
    pub(super) async fn of_program(
        &self,
        engine: &bollard::Docker,
        program: &str,
    ) -> Result<(String, String), Error> {
        let path = Path::new(program);
        let cannot = |reason: String| Error::CannotStart { program: program.into(), reason };
        let metadata = fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
        if !metadata.is_file() || metadata.len() > MAX_PROGRAM {
            return Err(cannot(format!("it is not a file of at most {MAX_PROGRAM} bytes")));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let inside = format!("/program/{name}");
        let key = Key::new(path, &metadata);
        // Held while the image is made, so that many boxes at once make only one.
        let mut known = self.0.lock().await;
        if let Some(image) = known.get(&key) {
            return Ok((image.clone(), inside));
        }
        match elf::kind(path).map_err(|error| cannot(error.to_string()))? {
            elf::Kind::Static => {}
            elf::Kind::Dynamic(interpreter) => {
                return Err(cannot(format!(
                    "it is not statically linked and needs {}; an image of one file takes a static program, or name an image",
                    interpreter.display()
                )));
            }
            elf::Kind::Other => return Err(cannot("it is not a 64-bit ELF program".into())),
        }
        let bytes = fs::read(path).map_err(|error| cannot(error.to_string()))?;
        let image = format!("{REPOSITORY}:{}", tag(&name, &bytes));
        match engine.inspect_image(&image).await {
            Ok(_) => {}
            Err(error) if status(&error) == Some(404) => import(engine, &image, &name, &bytes).await?,
            Err(error) => return Err(Error::engine("looking for the program's image")(error)),
        }
        known.insert(key, image.clone());
        Ok((image, inside))
    }
}

fn tag(name: &str, program: &[u8]) -> String {
    let parts = [LAYOUT, name.as_bytes(), b"\0", program].concat();
    HEXLOWER.encode(&digest(&SHA256, &parts).as_ref()[..16])
}

/// Imports one layer as an image, without a builder.
async fn import(engine: &bollard::Docker, image: &str, name: &str, program: &[u8]) -> Result<(), Error> {
    let layer = layer(name, program).map_err(Error::io("packing the program's image"))?;
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(image)
        .message("a program of plainsight's boxes")
        .build();
    engine
        .create_image(Some(options), Some(body_full(layer.into())), None)
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(Error::engine("making the program's image"))
}

fn layer(name: &str, program: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::with_capacity(program.len() + 8192));
    for (folder, mode) in [("program/", 0o755), ("tmp/", 0o1777)] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_size(0);
        archive.append_data(&mut header, folder, std::io::empty())?;
    }
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    archive.append_data(&mut header, format!("program/{name}"), program)?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_depends_on_name_and_content() {
        assert_eq!(tag("runner", b"a"), tag("runner", b"a"));
        assert_ne!(tag("runner", b"a"), tag("runner", b"b"));
        assert_ne!(tag("runner", b"a"), tag("other", b"a"));
        assert_eq!(tag("runner", b"a").len(), 32);
    }

    #[test]
    fn a_layer_holds_one_file() {
        let layer = layer("runner", b"program").unwrap();
        let mut archive = tar::Archive::new(&layer[..]);
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().into_owned(), entry.header().mode().unwrap(), entry.size())
            })
            .collect();
        let expected = [("program/", 0o755, 0), ("tmp/", 0o1777, 0), ("program/runner", 0o755, 7)];
        assert_eq!(entries, expected.map(|(path, mode, size)| (PathBuf::from(path), mode, size)));
    }
}
