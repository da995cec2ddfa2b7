package publish

// The help of the commands.
const (
	PushShort = "Share a study on the Hugging Face Hub, or send it to an MLflow server"
	PushLong  = "Send the folder of a study to a data set repository of the Hugging Face Hub, with a card, a figure\n" +
		"and a table of its runs. The repository is private unless --public is given, which asks first.\n\n" +
		"Only the files of the study are sent, and listed before. Secrets, names of machines and folders of\n" +
		"users are replaced, in a copy that still verifies. Everything becomes visible in one commit; what\n" +
		"the hub has already is not sent again, so that an interrupted push is simply repeated.\n\n" +
		"The token is from HF_TOKEN or `hf auth login`, the hub from HF_ENDPOINT.\n\n" +
		"mlflow:http://HOST:5000#EXPERIMENT is an MLflow tracking server (the default address is\n" +
		"MLFLOW_TRACKING_URI): each run becomes a run with its settings, metrics and files, below one for the\n" +
		"study. The account is from MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD.\n\n" +
		"Exit codes: 0 done, 1 the hub or the network failed or the repository holds something else, 2 usage."
	PushExample = "  llem push results/batches hf:alice/batches --dry-run\n" +
		"  llem push results/batches mlflow:http://127.0.0.1:5000\n" +
		"  llem push results/batches hf:alice/batches --license cc-by-4.0\n" +
		"  llem push results/batches hf:alice/batches --public"
	PullShort = "Fetch a study that was shared with llem push"
	PullLong  = "Fetch a study from a data set repository of the Hugging Face Hub into a folder that llem report,\n" +
		"compare and verify read. Files are compared with the hub's hashes; an interrupted pull continues\n" +
		"when it is repeated. A folder with other files is not written to.\n\n" +
		"hf:USER/NAME@REVISION fetches a branch, a tag or a commit. A private repository needs the token of\n" +
		"an account that can read it, from HF_TOKEN or `hf auth login`.\n\n" +
		"Exit codes: 0 done, 1 the hub or the network failed, 2 usage."
	PullExample = "  llem pull hf:alice/batches\n  llem pull hf:alice/batches@v1 -o batches-v1"
)
