"""The grammar of the language, and the editor grammars derived from its words."""
