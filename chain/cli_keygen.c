int placeholder_cli_keygen(void);
