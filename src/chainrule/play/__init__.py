"""The playground, the walkthrough and the practice in the browser, and the server they run on."""
