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
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
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
        let fields: Vec<Field> = found.schema().fields().iter().map(|field| hinted(field)).collect();
        let options = options().with_schema(Arc::new(Schema::new(fields)));
        let metadata = ArrowReaderMetadata::try_new(found.metadata().clone(), options).map_err(fault(path))?;
        let notes = found.metadata().file_metadata().key_value_metadata();
        let filed = notes.is_some_and(|notes| notes.iter().any(|note| note.key == FILED));
        let groups = found.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64).collect();
        Ok(Opened { metadata, filed, groups })
    }
}

/// Text is text, also where the file does not say so; where a few stand for many they stay numbered.
fn hinted(field: &Field) -> Field {
    match field.data_type() {
        DataType::Utf8 | DataType::Binary if FEW.contains(&field.name().as_str()) => {
            field.clone().with_data_type(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))
        }
        DataType::Binary => field.clone().with_data_type(DataType::Utf8),
        _ => field.clone(),
    }
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
        let cells: Vec<Cells> = wanted.iter().map(|name| cells(&batch, name)).collect();
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

fn cells(batch: &RecordBatch, name: &str) -> Cells {
    let Some(array) = batch.column_by_name(name) else { return Cells::Absent };
    let one = |number: i64| number;
    match array.data_type() {
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
        DataType::Utf8 => Cells::Text(array.as_string::<i32>().clone()),
        DataType::Dictionary(..) => {
            let few = array.as_dictionary::<Int32Type>();
            let texts = few.values().as_string_opt::<i32>().cloned();
            texts.map_or(Cells::Other("neither a whole number nor text"), |texts| Cells::Few {
                keys: few.keys().clone(),
                dictionary: few.values().clone(),
                texts,
            })
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) => Cells::Other("a list"),
        _ => Cells::Other("neither a whole number nor text"),
    }
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
