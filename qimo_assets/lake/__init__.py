"""The streaming job and the Hudi tables that it writes: chat_message and chat_quarantine."""
