"""What is known of miners, as dated data, and the matchers that tables share."""
