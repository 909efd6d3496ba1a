#!/bin/sh
# Runs once, when the database is made: the application's own role. `manage.py grant_app_role` says what it may do.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$GUOKU_APP_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE guoku_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SQL
