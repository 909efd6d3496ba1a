"""Brings the system up on one machine: database, broker, web, worker, beat and simulators, a process each."""
