int placeholder_main(void);
