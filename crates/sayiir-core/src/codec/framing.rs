//! Branch outputs as one payload, whatever the codec: a format byte, then for each branch the
//! big-endian length of its name, the name, the length of its output, the output. Reading never
//! trusts a length: what is cut off or left over is an error.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::branch_results::NamedBranchResults;

/// The first byte of every frame.
const FORMAT: u8 = 1;

/// A payload that is no frame of branch outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no frame of branch outputs: {0}")]
pub(super) struct InvalidFrame(&'static str);

pub(super) fn pack(results: &NamedBranchResults) -> Bytes {
    let size = results.as_slice().iter().map(|(name, output)| 16 + name.len() + output.len()).sum::<usize>();
    let mut frame = BytesMut::with_capacity(size + 1);
    frame.put_u8(FORMAT);
    for (name, output) in results.as_slice() {
        frame.put_u64(name.len() as u64);
        frame.put_slice(name.as_bytes());
        frame.put_u64(output.len() as u64);
        frame.put_slice(output);
    }
    frame.freeze()
}

pub(super) fn unpack(mut frame: Bytes) -> Result<NamedBranchResults, InvalidFrame> {
    if !frame.has_remaining() || frame.get_u8() != FORMAT {
        return Err(InvalidFrame("its format is unknown"));
    }
    let mut results = Vec::new();
    while frame.has_remaining() {
        let name = part(&mut frame)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| InvalidFrame("a branch name is no UTF-8"))?;
        results.push((name, part(&mut frame)?));
    }
    Ok(NamedBranchResults::new(results))
}

fn part(frame: &mut Bytes) -> Result<Bytes, InvalidFrame> {
    if frame.remaining() < 8 {
        return Err(InvalidFrame("a length is cut off"));
    }
    match usize::try_from(frame.get_u64()) {
        Ok(length) if length <= frame.remaining() => Ok(frame.split_to(length)),
        Ok(_) | Err(_) => Err(InvalidFrame("a part is cut off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for outputs in [vec![], vec![("a".to_owned(), Bytes::from_static(b"1")), ("é/b".to_owned(), Bytes::new())]] {
            let results = NamedBranchResults::new(outputs);
            assert_eq!(unpack(pack(&results)), Ok(results));
        }
    }

    #[test]
    fn a_cut_or_wrong_frame_is_refused() {
        let frame = pack(&NamedBranchResults::new(vec![("a".to_owned(), Bytes::from_static(b"123"))]));
        for end in 2..frame.len() {
            assert!(unpack(frame.slice(..end)).is_err(), "{end} bytes");
        }
        assert!(unpack(Bytes::new()).is_err());
        assert!(unpack(Bytes::from_static(b"{}")).is_err());
        let mut huge = vec![FORMAT];
        huge.extend([0xff; 8]);
        assert!(unpack(huge.into()).is_err());
    }
}
