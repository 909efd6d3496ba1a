from tests.ukey.fixtures import agent, authority, now, one_folder, program, start, tokens, wang, wangs_file

__all__ = ["agent", "authority", "now", "one_folder", "program", "start", "tokens", "wang", "wangs_file"]
