"""The mirror's tables. ``docs/mirror.md`` describes them for people who query them.

A change here bumps VERSION: an older or newer mirror is dropped and rebuilt, never migrated.
"""

from __future__ import annotations

VERSION = 5
APPLICATION_ID = 0x76736D72  # "vsmr"

TOKENIZER = "porter unicode61 remove_diacritics 2"

TABLES = f"""
CREATE TABLE info(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;

CREATE TABLE files(
  path TEXT PRIMARY KEY, dev INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER,
  ctime_ns INTEGER, unsure INTEGER, hash TEXT, hash_end INTEGER, known_end INTEGER, lines INTEGER
) WITHOUT ROWID;

CREATE TABLE sessions(
  session INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT, topic TEXT, topic_source TEXT,
  created_at TEXT, updated_at TEXT, ended_at TEXT, ending TEXT, message_count INTEGER,
  user_messages INTEGER, model TEXT, provider TEXT, skill TEXT, directory TEXT, git_root TEXT,
  summary_file TEXT, source_kind TEXT, source_id TEXT, problems INTEGER, path TEXT, name_key TEXT
);

CREATE TABLE messages(
  message INTEGER PRIMARY KEY, session INTEGER NOT NULL, id TEXT NOT NULL, role TEXT NOT NULL,
  content TEXT NOT NULL, created_at TEXT, line INTEGER NOT NULL, active INTEGER NOT NULL, rest BLOB
);

CREATE TABLE rests(session INTEGER PRIMARY KEY, lines BLOB);

CREATE TABLE message_summaries(
  session INTEGER NOT NULL, id TEXT, through_message_id TEXT, message_count INTEGER,
  message_range TEXT, summary TEXT, token_count INTEGER, method TEXT, provider TEXT, model TEXT,
  compacted_at TEXT
);

CREATE TABLE session_context(session INTEGER NOT NULL, type TEXT, key TEXT, value TEXT);

CREATE TABLE usage(
  session INTEGER NOT NULL, quarter INTEGER NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
  user INTEGER, assistant INTEGER, tool INTEGER, system INTEGER,
  tokens_in INTEGER, tokens_out INTEGER, PRIMARY KEY(session, quarter, provider, model)
) WITHOUT ROWID;

CREATE TABLE memory(
  passage INTEGER PRIMARY KEY, path TEXT NOT NULL, line INTEGER NOT NULL, kind TEXT NOT NULL,
  section TEXT, text TEXT NOT NULL, session_id TEXT, created_at TEXT
);

CREATE TABLE problems(
  path TEXT NOT NULL, line INTEGER, "column" INTEGER, code TEXT, severity TEXT, message TEXT
);

CREATE VIEW messages_text AS SELECT message, content, NULL AS grams FROM messages;
CREATE VIEW memory_text AS SELECT passage, text AS content, NULL AS grams FROM memory;

CREATE VIRTUAL TABLE messages_fts USING fts5(
  content, grams, content='messages_text', content_rowid='message', tokenize='{TOKENIZER}'
);
CREATE VIRTUAL TABLE memory_fts USING fts5(
  content, grams, content='memory_text', content_rowid='passage', tokenize='{TOKENIZER}'
);
"""

INDEXES = """
CREATE INDEX IF NOT EXISTS messages_by_session ON messages(session, line);
CREATE INDEX IF NOT EXISTS sessions_by_activity ON sessions(updated_at, id, name);
CREATE INDEX IF NOT EXISTS sessions_by_name ON sessions(name_key) WHERE name_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS summaries_by_session ON message_summaries(session);
CREATE INDEX IF NOT EXISTS context_by_session ON session_context(session);
CREATE INDEX IF NOT EXISTS memory_by_path ON memory(path);
CREATE INDEX IF NOT EXISTS problems_by_path ON problems(path);
CREATE INDEX IF NOT EXISTS files_unsure ON files(path) WHERE unsure;
"""
