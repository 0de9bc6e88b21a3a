"""Asks DuckDB the question on Parquet files: directory, methods.csv, question, output, threads, memory."""
import sys
import time

import duckdb

directory, methods, question, output, threads, memory = sys.argv[1:]
db = duckdb.connect()
db.execute(f"SET threads={threads}; SET memory_limit='{memory}'; SET temp_directory='{directory}/duckdb.tmp';")
db.execute("SET preserve_insertion_order=false")
db.execute(f"CREATE TABLE methods AS SELECT * FROM read_csv('{methods}', header=true)")
tables = ["accounts", "applicants", "orders", "certificates", "dcv_confirmations", "dcv_reuse", "san_authorisations"]
for table in tables:
    db.execute(f"CREATE VIEW {table} AS SELECT * FROM '{directory}/{table}.parquet'")
text = open(question).read()
began = time.monotonic()
for statement in text.split(";\n"):
    if statement.strip():
        db.execute(statement)
print(f"{time.monotonic() - began:.3f}")
db.execute(f"COPY (SELECT * FROM found ORDER BY ALL) TO '{output}' (HEADER false)")
