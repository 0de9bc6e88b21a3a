//! Rows of a Parquet file, a row group at a time, column by column, only the columns that are asked for.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, StringArray, StringViewArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::ConvertedType;
use parquet::errors::ParquetError;

use super::{Block, Cells, Each};
use crate::audit::AuditError;
use crate::finding::escape;
use crate::issuance::FILED;
use crate::issuance::feed;

/// Rows that are decoded at once.
const BATCH: usize = 8192;

/// Columns in which few texts stand for many rows, by their name: read by number, each text once.
const FEW: [&str; 9] =
    ["method", "performed_by", "resolver", "dnssec", "channel", "vtype", "hierarchy", "rule", "result"];

fn fault(path: &Path) -> impl Fn(ParquetError) -> AuditError {
    let path = path.to_path_buf();
    move |error| AuditError::Unreadable { path: path.clone(), reason: escape(error.to_string().as_bytes(), 300) }
}

fn open(path: &Path) -> Result<File, AuditError> {
    File::open(path).map_err(|source| AuditError::File { path: path.to_path_buf(), source })
}

/// What the end of a file says of it.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    metadata: ArrowReaderMetadata,
    /// Whether it is an export of the embedded database, which has filed its rows.
    pub(super) filed: bool,
    /// How many rows each row group has.
    pub(super) groups: Vec<u64>,
}

impl Opened {
    /// Reads the end of a file of this table.
    pub(super) fn read(table: &'static str, path: &Path) -> Result<Opened, AuditError> {
        let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let found = ArrowReaderMetadata::load(&open(path)?, options()).map_err(fault(path))?;
        let known = feed::columns(table).unwrap_or_default();
        for field in found.schema().fields() {
            if !known.iter().any(|known| known.name == field.name()) {
                let reason = format!("{} is no column of {table}", escape(field.name().as_bytes(), 100));
                return Err(AuditError::Unreadable { path: path.to_path_buf(), reason });
            }
        }
        let types = found.parquet_schema().root_schema().get_fields();
        let fields = found.schema().fields().iter().zip(types);
        let fields: Vec<Field> =
            fields.map(|(field, of)| hinted(field, of.get_basic_info().converted_type())).collect();
        let options = options().with_schema(Arc::new(Schema::new(fields)));
        let metadata = ArrowReaderMetadata::try_new(found.metadata().clone(), options).map_err(fault(path))?;
        let notes = found.metadata().file_metadata().key_value_metadata();
        let filed = notes.is_some_and(|notes| notes.iter().any(|note| note.key == FILED));
        let groups = found.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64).collect();
        Ok(Opened { metadata, filed, groups })
    }
}

/// Text stays where the page has it; where a few stand for many they stay numbered. Whether octets are UTF-8 the reader
/// looks at in columns of type UTF8 alone, and there, by some encodings, at many values as if they were one: what it leaves
/// out is looked at in [`cells`].
fn hinted(field: &Field, converted: ConvertedType) -> Field {
    let read_as = match (field.data_type(), converted) {
        (DataType::Utf8, ConvertedType::UTF8) if FEW.contains(&field.name().as_str()) => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        (DataType::Utf8, ConvertedType::UTF8) => DataType::Utf8View,
        (DataType::Binary, _) => DataType::BinaryView,
        _ => return field.clone(),
    };
    field.clone().with_data_type(read_as)
}

/// Reads a row group; of `picked`, in their order and counted from 0, only these rows.
pub(super) fn read(
    path: &Path,
    opened: &Opened,
    group: usize,
    picked: Option<&[u64]>,
    wanted: &[&'static str],
    each: Each<'_>,
) -> Result<(), AuditError> {
    let fault = fault(path);
    let schema = opened.metadata.schema();
    let places: Vec<Option<usize>> =
        wanted.iter().map(|name| schema.fields().iter().position(|field| field.name() == name)).collect();
    let mask = ProjectionMask::roots(opened.metadata.parquet_schema(), places.iter().flatten().copied());
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open(path)?, opened.metadata.clone());
    let mut builder = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(BATCH);
    if let Some(picked) = picked {
        builder = builder.with_row_selection(selection(picked, opened.groups[group]));
    }
    let mut done = 0;
    for batch in builder.build().map_err(&fault)? {
        let batch = batch.map_err(|error| fault(error.into()))?;
        let not_text = |name: &str| {
            let reason = format!("column {name} of row group {} has a value that is not UTF-8", group + 1);
            AuditError::Unreadable { path: path.to_path_buf(), reason }
        };
        let cells: Result<Vec<Cells>, AuditError> =
            wanted.iter().map(|name| cells(&batch, name).map_err(|_| not_text(name))).collect();
        let cells = cells?;
        each(&Block::Columns { first: done + 1, rows: batch.num_rows(), cells: &cells })?;
        done += batch.num_rows() as u64;
    }
    let expected = picked.map_or(opened.groups[group], |picked| picked.len() as u64);
    if done != expected {
        let reason = format!("row group {} ends after {done} of {expected} rows", group + 1);
        return Err(AuditError::Unreadable { path: path.to_path_buf(), reason });
    }
    Ok(())
}

fn selection(picked: &[u64], rows: u64) -> RowSelection {
    let (mut selectors, mut at) = (Vec::new(), 0);
    for row in picked {
        selectors.push(RowSelector::skip((row - at) as usize));
        selectors.push(RowSelector::select(1));
        at = row + 1;
    }
    selectors.push(RowSelector::skip(rows.saturating_sub(at) as usize));
    RowSelection::from(selectors)
}

/// The values of a column; an error is text that is not UTF-8.
fn cells(batch: &RecordBatch, name: &str) -> Result<Cells, ArrowError> {
    let Some(array) = batch.column_by_name(name) else { return Ok(Cells::Absent) };
    let one = |number: i64| number;
    Ok(match array.data_type() {
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            Cells::Whole(array.values().clone(), array.nulls().cloned())
        }
        DataType::Int32 => whole::<Int32Type>(array, one),
        DataType::Int16 => whole::<Int16Type>(array, one),
        DataType::Int8 => whole::<Int8Type>(array, one),
        DataType::UInt32 => whole::<UInt32Type>(array, one),
        DataType::UInt16 => whole::<UInt16Type>(array, one),
        DataType::UInt8 => whole::<UInt8Type>(array, one),
        // What is too large for a number of the feed is refused as a negative one.
        DataType::UInt64 => converted::<UInt64Type>(array, |number| i64::try_from(number).unwrap_or(i64::MIN)),
        DataType::Decimal128(_, 0) => {
            converted::<Decimal128Type>(array, |number| i64::try_from(number).unwrap_or(i64::MIN))
        }
        DataType::Timestamp(TimeUnit::Second, _) => whole::<TimestampSecondType>(array, one),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            whole::<TimestampMillisecondType>(array, |number| number.div_euclid(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            whole::<TimestampMicrosecondType>(array, |number| number.div_euclid(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            whole::<TimestampNanosecondType>(array, |number| number.div_euclid(1_000_000_000))
        }
        DataType::Date32 => whole::<Date32Type>(array, |days| days.saturating_mul(86_400)),
        DataType::Boolean => Cells::Flags(array.as_boolean().clone()),
        DataType::Utf8View => {
            let texts = array.as_string_view();
            // What is UTF-8 as a whole is so value by value when none begins within a character. Behind its length every view
            // has the first octet of its value, or 0.
            if !texts.views().iter().all(|view| (*view >> 32) as i8 >= -0x40) {
                return Err(ArrowError::InvalidArgumentError(format!("column {name}: a value is not UTF-8")));
            }
            Cells::Text(texts.clone())
        }
        DataType::BinaryView => Cells::Text(array.as_binary_view().clone().to_string_view()?),
        DataType::Utf8 => Cells::Text(StringViewArray::from(&checked(array.as_string())?)),
        DataType::Dictionary(..) => {
            let few = array.as_dictionary::<Int32Type>();
            match few.values().as_string_opt::<i32>() {
                None => Cells::Other("neither a whole number nor text"),
                Some(texts) => {
                    Cells::Few { keys: few.keys().clone(), dictionary: few.values().clone(), texts: checked(texts)? }
                }
            }
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) => Cells::Other("a list"),
        _ => Cells::Other("neither a whole number nor text"),
    })
}

/// The same texts, each of which is UTF-8.
fn checked(texts: &StringArray) -> Result<StringArray, ArrowError> {
    let (ends, octets, nulls) = texts.clone().into_parts();
    StringArray::try_new(ends, octets, nulls)
}

fn whole<T: ArrowPrimitiveType>(array: &ArrayRef, count: impl Fn(i64) -> i64) -> Cells
where
    T::Native: Into<i64>,
{
    converted::<T>(array, |number| count(number.into()))
}

fn converted<T: ArrowPrimitiveType>(array: &ArrayRef, count: impl Fn(T::Native) -> i64) -> Cells {
    let array: &PrimitiveArray<T> = array.as_primitive();
    Cells::Whole(array.values().iter().map(|number| count(*number)).collect(), array.nulls().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    use parquet::basic::Encoding;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    /// A table of issuers with these names and hierarchies, the columns of these types; by the encoding, or with a
    /// dictionary where none is said.
    fn written(path: &Path, types: [&str; 2], encoding: Option<Encoding>, columns: [&[&[u8]]; 2]) {
        let [name, hierarchy] = types;
        let message =
            format!("message issuers {{ required binary name {name}; required binary hierarchy {hierarchy}; }}");
        let message = parse_message_type(&message).expect("a schema");
        let properties = WriterProperties::builder().set_dictionary_enabled(encoding.is_none());
        let properties = encoding.into_iter().fold(properties, |all, encoding| all.set_encoding(encoding));
        let file = File::create(path).expect("a file");
        let properties = Arc::new(properties.build());
        let mut writer = SerializedFileWriter::new(file, Arc::new(message), properties).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        for values in columns {
            let mut column = group.next_column().expect("a column").expect("one more");
            let values: Vec<ByteArray> = values.iter().map(|value| ByteArray::from(value.to_vec())).collect();
            column.typed::<ByteArrayType>().write_batch(&values, None, None).expect("written");
            column.close().expect("closed");
        }
        group.close().expect("closed");
        writer.close().expect("closed");
    }

    fn texts(path: &Path) -> Result<Vec<[String; 2]>, String> {
        let told = |error: AuditError| error.to_string();
        let opened = Opened::read("issuers", path).map_err(told)?;
        let mut rows = Vec::new();
        let each = &mut |block: &Block<'_>| {
            let text = |column, row| match block.given(column, row) {
                feed::Given::Text(text) => text.to_string(),
                _ => "no text".to_string(),
            };
            rows.extend((0..block.rows()).map(|row| [text(0, row), text(1, row)]));
            Ok(())
        };
        read(path, &opened, 0, None, &["name", "hierarchy"], each).map_err(told)?;
        Ok(rows)
    }

    const ENCODINGS: [Option<Encoding>; 4] =
        [None, Some(Encoding::PLAIN), Some(Encoding::DELTA_LENGTH_BYTE_ARRAY), Some(Encoding::DELTA_BYTE_ARRAY)];

    #[test]
    fn text_of_every_type_and_encoding_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("issuers.parquet");
        let long = "a name that is too long to stand in a row itself, \u{e4}\u{f6}\u{fc}";
        let few: [&[u8]; 4] = [b"public", b"public", b"internal", "\u{e4}".as_bytes()];
        for (types, encoding) in
            [["(UTF8)", "(UTF8)"], ["", ""], ["(JSON)", "(ENUM)"]].into_iter().flat_map(|t| ENCODINGS.map(|e| (t, e)))
        {
            written(&path, types, encoding, [&[b"CA", long.as_bytes(), b"B", "\u{fc}".as_bytes()], &few]);
            let names = ["CA", long, "B", "\u{fc}"].into_iter();
            let expected = names.zip(["public", "public", "internal", "\u{e4}"]);
            let expected: Vec<[String; 2]> = expected.map(|(a, b)| [a.to_string(), b.to_string()]).collect();
            assert_eq!(texts(&path), Ok(expected), "{types:?} {encoding:?}");
        }
    }

    /// JSON is looked at too, but a build for tests has the reader panic before.
    #[test]
    fn what_is_no_text_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("issuers.parquet");
        // The last two are UTF-8 where one follows the other.
        let strange: [[&[u8]; 2]; 4] = [
            [b"\xff", b"b"],
            [b"a name that is too long to stand in a row itself \xe4", b"b"],
            [b"a\xc3", b"\xa4b"],
            [b"a name that is too long to stand in a row itself \xc3", b"\xa4 is the rest of another long name"],
        ];
        let good: [&[u8]; 2] = [b"a", b"b"];
        for (bad, encoding) in strange.iter().flat_map(|bad| ENCODINGS.map(|encoding| (bad, encoding))) {
            for types in [["", "(UTF8)"], ["(UTF8)", ""], ["(UTF8)", "(UTF8)"], ["(ENUM)", "(UTF8)"]] {
                for columns in [[&bad[..], &good[..]], [&good[..], &bad[..]]] {
                    written(&path, types, encoding, columns);
                    let error = texts(&path).expect_err("not text");
                    assert!(error.contains("issuers.parquet: ") && error.ends_with("export it again"), "{error}");
                    assert!(error.to_lowercase().contains("utf"), "{types:?} {encoding:?}: {error}");
                }
            }
        }
    }
}
